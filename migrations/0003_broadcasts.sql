-- Broadcasts, the schedules that make them, and their audio.

create table schedules (
  id uuid primary key default uuidv7(),
  name text not null unique check (length(name) between 1 and 120),
  -- RFC 5545, evaluated in `zone`, right across daylight-saving changes
  rrule text not null,
  zone text not null,
  category text not null,
  template text not null,
  audience jsonb not null,
  -- An occurrence found later than this is recorded as missed, not called.
  valid_for interval not null default interval '4 hours',
  enabled boolean not null default true,
  next_at timestamptz,
  created_by text not null,
  created_at timestamptz not null default now()
);
create index schedules_due on schedules (next_at) where enabled;

create table broadcasts (
  id uuid primary key default uuidv7(),
  title text not null check (length(title) between 1 and 200),
  category text not null check (category in
    ('emergency_school_hours', 'emergency', 'schools_out', 'attendance', 'general', 'survey')),
  urgency smallint not null check (urgency between 0 and 9),
  -- One of the two: a template's name, or texts by language.
  template text,
  message jsonb,
  audience jsonb not null,
  school_date date not null,
  state text not null check (state in
    ('held', 'running', 'paused', 'stopped', 'done', 'missed', 'failed')),
  -- Why it is missed or failed.
  reason text,
  idempotency_key text unique,
  request_hash bytea,
  schedule_id uuid references schedules,
  occurrence_at timestamptz,
  expires_at timestamptz not null,
  prepared_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  created_by text not null,
  created_at timestamptz not null default now(),
  -- An occurrence never runs twice.
  unique (schedule_id, occurrence_at),
  check ((template is null) <> (message is null)),
  check ((schedule_id is null) = (occurrence_at is null))
);
create index broadcasts_active on broadcasts (urgency, created_at) where state in ('running', 'paused', 'held');
create index broadcasts_date on broadcasts (school_date);

create table prompts (
  -- SHA-256 over voice, language and text, in hex: also the audio file's name.
  hash text primary key check (hash ~ '^[0-9a-f]{64}$'),
  language text not null,
  text text not null,
  state text not null default 'queued' check (state in ('queued', 'rendered', 'failed')),
  duration_ms integer check (duration_ms > 0),
  error text,
  created_at timestamptz not null default now(),
  rendered_at timestamptz,
  check ((state = 'rendered') = (duration_ms is not null))
);
create index prompts_queued on prompts (created_at) where state = 'queued';
