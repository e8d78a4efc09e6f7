import { audio } from './audio.ts';
import { cpu } from './cpu.ts';
import type { Figure } from './figure.ts';
import { guard } from './guard.ts';
import { peak } from './peak.ts';
import { scale } from './scale.ts';
import { soak } from './soak.ts';
import { start } from './start.ts';
import { utilisation } from './utilisation.ts';

/** In the order in which they run. */
export const FIGURES: readonly Figure[] = [utilisation, guard, peak, cpu, start, audio, scale, soak];
