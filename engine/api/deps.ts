import type { Readable } from 'node:stream';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Registry } from 'prom-client';
import type { Clock } from '../clock.ts';
import type { ImportKind } from '../domain/roster.ts';
import type { MessageVariables } from '../domain/template.ts';
import type { Log } from '../log.ts';
import type { Database } from '../store/db.ts';
import type { ImportCounts, Rejection } from '../store/imports.ts';

/** What an import did: rows by what became of them, and where the file was wrong. */
export interface ImportResult extends ImportCounts {
  id: string;
  kind: ImportKind;
  fileName: string;
  rejections: Rejection[];
}

/** Everything that the API needs and does not make itself; what it triggers is a function here. */
export interface ApiDeps {
  db: Database;
  log: Log;
  clock: Clock;
  registry: Registry;
  importLimitBytes: number;
  templates: {
    has(name: string): boolean;
    names(): string[];
    compose(name: string, language: string, variables: MessageVariables): { language: string; text: string };
  };
  /** Throws FILE_REJECTED, and then has changed nothing. Must not commit when the stream fails. */
  importFile: (input: {
    kind: ImportKind;
    fileName: string;
    stream: Readable;
    createdBy: string;
    country: string;
  }) => Promise<ImportResult>;
  /** A trunk's secret as it is stored. Throws SECRET_KEY_MISSING. */
  sealSecret: (secret: string, trunkName: string) => Buffer;
  /** Queues the preparation of a broadcast; may be called more than once for the same one. */
  broadcastCreated: (id: string) => Promise<void>;
  scheduleChanged: () => Promise<void>;
  /** Each part that must work: true, or why it does not. */
  readiness: () => Promise<Record<string, true | string>>;
}

/** Fastify with routes typed by their zod schemas. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;
