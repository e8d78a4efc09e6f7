-- The ledger: trunks, planned calls, and every attempt to place one.

create table trunks (
  id uuid primary key default uuidv7(),
  name text not null unique check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
  -- The PJSIP endpoint in Asterisk.
  endpoint text not null check (endpoint ~ '^[A-Za-z0-9_-]{1,64}$'),
  max_channels integer not null check (max_channels between 1 and 100000),
  calls_per_second numeric(9, 3) not null check (calls_per_second > 0 and calls_per_second <= 10000),
  -- How the carrier wants the number: +13035550142, 13035550142, or 3035550142.
  number_format text not null default 'e164' check (number_format in ('e164', 'plain', 'national')),
  caller_id e164,
  state text not null default 'active' check (state in ('active', 'paused', 'refused')),
  state_reason text,
  created_at timestamptz not null default now()
);

create table calls (
  id uuid primary key default uuidv7(),
  broadcast_id uuid not null references broadcasts,
  -- null: nobody to dial; such a call is born `done` with outcome `no_number`
  phone e164,
  language text not null,
  -- IANA zone whose clock decides when this phone may ring
  zone text not null,
  caller_id e164,
  prompt_hash text references prompts,
  state text not null check (state in ('planned', 'ready', 'dialing', 'done')),
  due_at timestamptz not null default now(),
  -- All attempts; those that count against the retry table; and two kinds that do not.
  attempts smallint not null default 0,
  tries smallint not null default 0,
  interruptions smallint not null default 0,
  trunk_failures smallint not null default 0,
  -- The last attempt's, also while a retry is pending; final once `done`.
  outcome text check (outcome in (
    'confirmed', 'heard', 'partial', 'voicemail', 'screened', 'unsure', 'not_heard',
    'busy', 'no_answer', 'declined', 'blocked', 'bad_number',
    'trunk_failure', 'rate_limited', 'trunk_refused', 'no_common_codec',
    'interrupted', 'failed', 'no_number', 'no_audio', 'expired', 'stopped')),
  heard text not null default 'none' check (heard in
    ('confirmed', 'full', 'partial', 'voicemail', 'voicemail_partial', 'unsure', 'screened', 'none')),
  -- The longest stretch of the message that any attempt played.
  heard_ms integer not null default 0,
  finished_at timestamptz,
  -- One planned call per phone: never twice.
  unique (broadcast_id, phone),
  check ((state = 'done') = (finished_at is not null)),
  check (state <> 'done' or outcome is not null),
  check (state not in ('ready', 'dialing') or (phone is not null and prompt_hash is not null))
);
create index calls_ready on calls (broadcast_id, due_at, id) where state = 'ready';
create index calls_open on calls (broadcast_id) where state <> 'done';
create index calls_planned on calls (prompt_hash) where state = 'planned';

-- For whom a call is placed: the report's lines. Siblings share a call and have a line each.
create table call_recipients (
  call_id uuid not null references calls on delete cascade,
  site_id uuid not null references sites,
  student_id uuid references students,
  unique nulls not distinct (call_id, site_id, student_id)
);
create index call_recipients_site on call_recipients (site_id);

create table attempts (
  -- Also the ARI channel id: originate is idempotent while the channel lives.
  id uuid primary key default uuidv7(),
  call_id uuid not null references calls on delete cascade,
  trunk_id uuid not null references trunks,
  node text not null,
  number smallint not null check (number > 0),
  state text not null default 'claimed' check (state in ('claimed', 'placed', 'answered', 'ended')),
  claimed_at timestamptz not null default now(),
  -- By then it is over, whatever happened; later it is reconciled.
  deadline_at timestamptz not null,
  placed_at timestamptz,
  ringing_at timestamptz,
  answered_at timestamptz,
  ended_at timestamptz,
  sip_code smallint,
  cause smallint,
  outcome text check (outcome in (
    'confirmed', 'heard', 'partial', 'voicemail', 'screened', 'unsure', 'not_heard',
    'busy', 'no_answer', 'declined', 'blocked', 'bad_number',
    'trunk_failure', 'rate_limited', 'trunk_refused', 'no_common_codec',
    'interrupted', 'failed', 'stopped')),
  heard text not null default 'none' check (heard in
    ('confirmed', 'full', 'partial', 'voicemail', 'voicemail_partial', 'unsure', 'screened', 'none')),
  heard_ms integer not null default 0,
  message_ms integer not null,
  digits text not null default '' check (digits ~ '^[0-9*#A-D]{0,32}$'),
  interrupted boolean not null default false,
  unique (call_id, number),
  check ((state = 'ended') = (outcome is not null)),
  check ((state = 'ended') = (ended_at is not null))
);
-- A call has one open attempt at most: the database refuses a second INVITE.
create unique index attempts_open on attempts (call_id) where state <> 'ended';
create index attempts_recent on attempts (trunk_id, claimed_at);
