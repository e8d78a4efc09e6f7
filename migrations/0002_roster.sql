-- What the student information system says. It wins at the next upload.

create table imports (
  id uuid primary key default uuidv7(),
  kind text not null check (kind in ('students', 'contacts', 'attendance')),
  file_name text not null,
  sha256 bytea not null,
  added integer not null,
  changed integer not null,
  unchanged integer not null,
  rejected integer not null,
  -- [{line, column, reason}], the first 1,000
  rejections jsonb not null default '[]',
  created_by text not null,
  created_at timestamptz not null default now()
);

create table students (
  id uuid primary key default uuidv7(),
  sis_id text not null unique,
  site_id uuid not null references sites,
  first_name text not null,
  last_name text not null,
  grade text not null,
  language text not null
);
create index students_site on students (site_id);

create table contact_points (
  id uuid primary key default uuidv7(),
  student_id uuid not null references students on delete cascade,
  -- `home`: the student's own two home phones. `main`, `secondary`: the two contacts.
  owner text not null check (owner in ('home', 'main', 'secondary')),
  kind text not null check (kind in ('primary', 'secondary', 'home', 'mobile', 'work', 'email')),
  first_name text,
  last_name text,
  language text,
  phone e164,
  email text,
  -- A changed number is a new number: the date starts afresh.
  since timestamptz not null default now(),
  unique (student_id, owner, kind),
  check ((kind = 'email') = (email is not null)),
  check ((kind <> 'email') = (phone is not null)),
  check ((owner = 'home') = (kind in ('primary', 'secondary')))
);
create index contact_points_phone on contact_points (phone) where phone is not null;

create table absences (
  student_id uuid not null references students on delete cascade,
  school_date date not null,
  -- `all`, or a period's own name
  period text not null,
  code text not null check (code in ('unexcused', 'excused', 'tardy')),
  primary key (student_id, school_date, period)
);
create index absences_date on absences (school_date);
