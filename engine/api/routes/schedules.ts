import { z } from 'zod';
import { audienceSchema } from '../../domain/audience.ts';
import { CATEGORIES } from '../../domain/terms.ts';
import { RollcallError } from '../../errors.ts';
import { createSchedule, getSchedule, listSchedules, updateSchedule } from '../../store/schedules.ts';
import { keyOf } from '../authentication.ts';
import { checkAudience, requireDistrict, requireTemplate } from '../check-audience.ts';
import type { Api, ApiDeps } from '../deps.ts';
import { id, idParams, line, paragraph, zone } from '../schemas.ts';

const tags = ['Schedules'];

const NEW_SCHEDULE = {
  name: 'Attendance, elementary',
  rrule: 'DTSTART:20260817T133000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\nEXDATE:20260907T133000',
  zone: 'America/Denver',
  category: 'attendance',
  template: 'attendance',
  audience: { kind: 'absent', levels: ['elementary'] },
  validForMinutes: 240,
  enabled: true,
};
const SCHEDULE = {
  id: '01991f6e-7f00-7a3c-9d2f-0b9d6d1b2a10',
  ...NEW_SCHEDULE,
  nextAt: '2026-09-15T19:30:00.000Z',
  createdBy: 'district-office',
  createdAt: '2026-08-01T16:00:00.000Z',
};

const fields = {
  name: line(120),
  rrule: paragraph(4_000).describe('RFC 5545, on the wall clock of `zone`'),
  zone,
  category: z.enum(CATEGORIES),
  template: line(64),
  audience: audienceSchema,
  validForMinutes: z
    .number()
    .min(1)
    .max(7 * 24 * 60)
    .describe('An occurrence found later than this is recorded as missed, not called'),
  enabled: z.boolean(),
};
const newSchedule = z
  .strictObject({
    ...fields,
    validForMinutes: fields.validForMinutes.default(240),
    enabled: fields.enabled.default(true),
  })
  .meta({ examples: [NEW_SCHEDULE] });
const patch = z
  .strictObject(fields)
  .partial()
  .refine((changes) => Object.keys(changes).length > 0, 'must change something')
  .meta({ examples: [{ enabled: false }] });
const schedule = z
  .object({ id, ...fields, nextAt: z.date().nullable(), createdBy: z.string(), createdAt: z.date() })
  .meta({ examples: [SCHEDULE] });

export function scheduleRoutes(app: Api, { db, clock, templates, scheduleChanged }: ApiDeps): void {
  app.get(
    '/v1/schedules',
    {
      schema: {
        tags,
        summary: 'Every schedule, by name',
        response: { 200: z.object({ items: z.array(schedule) }).meta({ examples: [{ items: [SCHEDULE] }] }) },
      },
    },
    async () => ({ items: await listSchedules(db) }),
  );

  app.post(
    '/v1/schedules',
    {
      schema: {
        tags,
        summary: 'Add a schedule',
        description: 'It fires on the wall clock of its zone, right across daylight-saving changes.',
        body: newSchedule,
        response: { 201: schedule },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const { country } = await requireDistrict(db);
      requireTemplate(templates, body.template);
      const audience = await checkAudience(db, body.audience, country);
      const createdBy = keyOf(request).name;
      const created = await createSchedule(db, { ...body, audience, createdBy, now: clock.now() });
      await scheduleChanged();
      return reply.code(201).send(created);
    },
  );

  app.get(
    '/v1/schedules/:id',
    { schema: { tags, summary: 'One schedule', params: idParams, response: { 200: schedule } } },
    async ({ params }) => {
      const found = await getSchedule(db, params.id);
      if (found === undefined) throw noSchedule();
      return found;
    },
  );

  app.patch(
    '/v1/schedules/:id',
    {
      schema: {
        tags,
        summary: 'Change, switch off or switch on a schedule',
        description: 'What it would have fired before the change is not made up for.',
        params: idParams,
        body: patch,
        response: { 200: schedule },
      },
    },
    async ({ params, body }) => {
      if (body.template !== undefined) requireTemplate(templates, body.template);
      const audience =
        body.audience && (await checkAudience(db, body.audience, (await requireDistrict(db)).country));
      const changes = present({ ...body, audience });
      const changed = await updateSchedule(db, params.id, { ...changes, now: clock.now() });
      if (changed === undefined) throw noSchedule();
      await scheduleChanged();
      return changed;
    },
  );
}

/** Without the fields that are undefined, which would overwrite what is stored. */
function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

const noSchedule = () => new RollcallError('NOT_FOUND', 'there is no schedule with this id');
