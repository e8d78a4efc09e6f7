import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import multipart, { type Multipart, type MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { IMPORT_KINDS } from '../../domain/roster.ts';
import { RollcallError } from '../../errors.ts';
import { getImport, listImports } from '../../store/imports.ts';
import { keyOf } from '../authentication.ts';
import { requireDistrict } from '../check-audience.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { limitBytes, malformedUpload, tooLarge } from '../limit-bytes.ts';
import { id, idParams, pageLimit, pageOf, toPage } from '../schemas.ts';

const tags = ['Imports'];

/** Boundaries, part headers and small fields around a file of the largest size. */
const MULTIPART_OVERHEAD_BYTES = 16 * 1024;

const ID = '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10';

const COUNTS = {
  kind: 'attendance',
  fileName: 'attendance.csv',
  added: 41,
  changed: 0,
  unchanged: 2,
  rejected: 1,
};
const REJECTIONS = [
  { file: 'attendance.csv', line: 17, column: 'code', reason: 'must be unexcused, excused or tardy' },
];
const BY = { createdBy: 'sis-upload', createdAt: '2026-09-14T18:00:03.120Z' };

const counts = {
  id,
  kind: z.enum(IMPORT_KINDS),
  fileName: z.string(),
  added: z.number().int(),
  changed: z.number().int(),
  unchanged: z.number().int(),
  rejected: z.number().int(),
};
const rejections = z
  .array(
    z.object({ file: z.string(), line: z.number().int(), column: z.string().nullable(), reason: z.string() }),
  )
  .describe('The first 1,000, by line');
const by = { createdBy: z.string(), createdAt: z.date() };
const result = z
  .object({ ...counts, rejections })
  .meta({ examples: [{ id: ID, ...COUNTS, rejections: REJECTIONS }] });
const summary = z.object({ ...counts, ...by });
const record = z
  .object({ ...counts, ...by, rejections })
  .meta({ examples: [{ id: ID, ...COUNTS, ...BY, rejections: REJECTIONS }] });

/** Registered in a scope of its own: only here are bodies streams, and JSON is no body at all. */
export async function importRoutes(app: Api, { db, importFile, importLimitBytes }: ApiDeps): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('text/csv', (_request, payload, done) => done(null, payload));
  // Counted in limitBytes: the plugin's own limit would cut the file short as if it ended there.
  await app.register(multipart, { limits: { fileSize: Number.POSITIVE_INFINITY, files: 2, parts: 10 } });

  app.post(
    '/v1/imports/:kind',
    {
      // Of content-length only; limitBytes holds for bodies that do not say how long they are.
      bodyLimit: importLimitBytes + MULTIPART_OVERHEAD_BYTES,
      schema: {
        tags,
        summary: "Upload a file of the SIS's",
        description:
          'One CSV file, as the body or as the one file of a form. Good rows are taken and bad ones reported; a file that cannot be taken at all changes nothing and gets a 422. The same file twice changes nothing.',
        params: z.strictObject({ kind: z.enum(IMPORT_KINDS) }),
        response: { 201: result },
      },
    },
    async (request, reply) => {
      const { country } = await requireDistrict(db);
      const { fileName, stream } = await uploadedFile(request, importLimitBytes);
      const { kind } = request.params;
      const imported = await importFile({ kind, fileName, stream, createdBy: keyOf(request).name, country });
      return reply.code(201).send(imported);
    },
  );

  app.get(
    '/v1/imports',
    {
      schema: {
        tags,
        summary: 'Imports, newest first',
        querystring: z.strictObject({ limit: pageLimit, after: id.optional() }),
        response: {
          200: pageOf(summary).meta({ examples: [{ items: [{ id: ID, ...COUNTS, ...BY }], next: null }] }),
        },
      },
    },
    async ({ query: { limit, after } }) =>
      toPage(await listImports(db, { limit: limit + 1, ...(after !== undefined && { after }) }), limit),
  );

  app.get(
    '/v1/imports/:id',
    { schema: { tags, summary: 'One import and its bad rows', params: idParams, response: { 200: record } } },
    async ({ params }) => {
      const found = await getImport(db, params.id);
      if (found === undefined) throw new RollcallError('NOT_FOUND', 'there is no import with this id');
      return found;
    },
  );
}

/** The importer calls a file without a name after its kind. */
async function uploadedFile(
  request: FastifyRequest,
  limit: number,
): Promise<{ fileName: string; stream: Readable }> {
  if (!request.isMultipart()) {
    const body = request.body as IncomingMessage | undefined;
    if (body === undefined)
      throw new RollcallError(
        'MEDIA_TYPE_UNSUPPORTED',
        'send the file as text/csv or as multipart/form-data',
      );
    if (Number(request.headers['content-length']) > limit) throw tooLarge(limit);
    return { fileName: '', stream: limited(body, limitBytes(limit)) };
  }
  const parts = request.parts();
  const file = await nextFile(parts);
  if (file === undefined)
    throw new RollcallError('INPUT_INVALID', 'the form has no file; send one CSV file in it');
  // A second file would be left out without a word, so the first one does not end before the form has.
  const alone = async () => {
    const another = await nextFile(parts);
    if (another === undefined) return;
    another.file.resume();
    throw new RollcallError('INPUT_INVALID', 'the form has more than one file; send one at a time');
  };
  return { fileName: file.filename, stream: limited(file.file, limitBytes(limit, alone)) };
}

async function nextFile(parts: AsyncIterator<Multipart>): Promise<MultipartFile | undefined> {
  try {
    for (;;) {
      // Not `for await`: leaving that would close the iterator, and with it the rest of the form.
      const { value: part, done } = await parts.next();
      if (done) return undefined;
      if (part.type === 'file') return part;
    }
  } catch (error) {
    throw malformedUpload(error);
  }
}

function limited(source: Readable, limit: ReturnType<typeof limitBytes>): Readable {
  // Whatever fails, fails the stream that the importer reads, and it is heard there.
  return pipeline(source, limit, () => {});
}
