-- The district, its schools, and who may use the API.

create domain e164 as text check (value ~ '^\+[1-9][0-9]{6,14}$');

create table district (
  -- One row: an installation serves one district.
  only_row boolean primary key default true check (only_row),
  name text not null check (length(name) between 1 and 120),
  zone text not null,
  country text not null check (country ~ '^[A-Z]{2}$'),
  callback_phone e164,
  policy jsonb not null default '{}'
);

create table sites (
  id uuid primary key default uuidv7(),
  code text not null unique check (code ~ '^[A-Za-z0-9_-]{1,32}$'),
  name text not null check (length(name) between 1 and 120),
  level text not null check (level in ('elementary', 'middle', 'high', 'other')),
  -- null: the district's
  zone text,
  callback_phone e164,
  caller_id e164
);

create table api_keys (
  id uuid primary key default uuidv7(),
  name text not null unique check (length(name) between 1 and 120),
  role text not null check (role in ('administrator', 'sender', 'clerk', 'operator')),
  -- SHA-256 of a 256-bit random key: a slow hash would add nothing but latency to each request.
  key_hash bytea not null unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz
);
