import { setTimeout as sleep } from 'node:timers/promises';
import type { Crash } from './dialogs.ts';
import type { PlannedFault } from './faults.ts';
import type { ChaosStack } from './stack.ts';

export interface ActionDeps {
  stack: ChaosStack;
  /** Told when an Asterisk is dead. */
  onCrash(crash: Crash): void;
  /** Sends a new message to a few phones; resolves with them when the engine has taken it. */
  sendSmallBroadcast(): Promise<string[]>;
  /** Told when the disk has room again, with the phones whose message had none. */
  onRoom(phones: readonly string[], at: number): void;
}

/** Carries one fault out: breaks something, waits, and makes it whole again. */
export async function carryOut({ action, lastsMs }: PlannedFault, deps: ActionDeps): Promise<void> {
  const { stack } = deps;
  switch (action.do) {
    case 'kill-engine': {
      const engine = stack.engines.find(({ name }) => name === action.engine);
      await engine?.kill();
      await sleep(lastsMs);
      return engine?.start();
    }
    case 'kill-asterisk': {
      const node = stack.nodes[action.node];
      if (node === undefined) return;
      await node.asterisk.kill();
      deps.onCrash({ node: node.sipPort, at: performance.timeOrigin + performance.now() });
      await sleep(lastsMs);
      return node.asterisk.restart();
    }
    case 'kill-postgres':
      await stack.postgres.kill();
      await sleep(lastsMs);
      return stack.postgres.restart();
    case 'link': {
      const link = stack.trunks[action.trunk]?.link;
      for (const { faults, ms } of action.phases) {
        await link?.set(faults);
        await sleep(ms);
      }
      return link?.set({});
    }
    case 'ari': {
      const ari = stack.nodes[action.node]?.ari;
      if (action.how === 'drop') return ari?.drop();
      await ari?.[action.how]();
      await sleep(lastsMs);
      return ari?.open();
    }
    case 'fill-disk': {
      await stack.disk?.fill();
      const phones = await deps.sendSmallBroadcast();
      await sleep(lastsMs);
      deps.onRoom(phones, Date.now());
      return stack.disk?.empty();
    }
    case 'step-clock':
      await stack.stepClock(action.byMs);
      await sleep(lastsMs);
      return stack.stepClock(0);
  }
}
