-- The queue at a million calls: a fair order, calls that wait, leases and their fences, the daily cap, and
-- audiences planned in pieces. The reasons are in docs/decisions/0007-the-queue.md.

-- Who may call by a trunk, and since when. The fence grows with each owner: what an earlier one writes late
-- is known by its lower number.
create table trunk_leases (
  trunk_id uuid primary key references trunks on delete cascade,
  holder uuid not null,
  fence bigint not null,
  expires_at timestamptz not null,
  engine text not null
);

-- A lane is a queue: the calls of one broadcast, in one zone, that avoid the same trunks. A claim looks at the
-- head of each lane that it may take from, and at no call that it may not take.
create table lanes (
  id bigint primary key generated always as identity,
  broadcast_id uuid not null references broadcasts on delete cascade,
  urgency smallint not null,
  zone text not null,
  -- Sorted, so that a set of trunks is one lane.
  avoid_trunks uuid[] not null default '{}',
  -- A call's turn among its urgency class is its rank, plus this.
  shift bigint not null default 0,
  -- The highest rank that was dialled from here.
  position bigint not null default 0,
  unique (broadcast_id, zone, avoid_trunks)
);

create index broadcasts_unfinished on broadcasts (urgency, created_at) where finished_at is null;

-- Lists of words are domains now. PostgreSQL reads a table's check constraints anew for each statement that
-- writes to it, which took 2 of 4 ms of a claim; those of a domain it keeps.
create domain call_state as text check (value in ('planned', 'waiting', 'ready', 'dialing', 'done'));
create domain attempt_state as text check (value in ('claimed', 'placed', 'answered', 'ended'));
create domain call_outcome as text check (value in (
  'confirmed', 'heard', 'partial', 'voicemail', 'screened', 'unsure', 'not_heard',
  'busy', 'no_answer', 'declined', 'blocked', 'bad_number',
  'trunk_failure', 'rate_limited', 'trunk_refused', 'no_common_codec', 'barred',
  'interrupted', 'failed', 'no_number', 'no_audio', 'not_needed', 'over_cap', 'expired', 'stopped'));
create domain heard_level as text check (value in (
  'confirmed', 'full', 'partial', 'voicemail', 'voicemail_partial', 'unsure', 'screened', 'none'));
create domain dialled_digits as text check (value ~ '^[0-9*#A-D]{0,32}$');
create domain chain_link as text check (value in ('held', 'open'));

drop index calls_ready;
alter table calls
  add column lane_id bigint,
  -- Its place among the calls of its site: 1 for the first. Equal ranks are equally near.
  add column rank bigint not null default 0,
  -- Trunks that could not place it, until another one tried. Sorted.
  add column avoid_trunks uuid[] not null default '{}',
  -- Where a household's phones are called one after the other: `held` until those before it had their tries.
  -- null: all of them at once.
  add column chain chain_link,
  drop constraint calls_state_check,
  drop constraint calls_outcome_check,
  drop constraint calls_heard_check,
  drop constraint calls_check2,
  alter column state type call_state,
  alter column outcome type call_outcome,
  alter column heard type heard_level,
  add constraint calls_dialable check (
    state not in ('waiting', 'ready', 'dialing') or phone is not null and prompt_hash is not null);

alter table attempts
  add column phone e164,
  -- That of the lease under which it was made or, after a take-over, is led.
  add column fence bigint not null default 0,
  drop constraint attempts_state_check,
  drop constraint attempts_outcome_check,
  drop constraint attempts_heard_check,
  drop constraint attempts_digits_check,
  alter column state type attempt_state,
  alter column outcome type call_outcome,
  alter column heard type heard_level,
  alter column digits type dialled_digits;
update attempts set phone = calls.phone from calls where calls.id = attempts.call_id;
create index attempts_of_trunk on attempts (trunk_id) where state <> 'ended';

-- What a phone went through on its current day. One row per phone, and the one place where two broadcasts,
-- or two engines, that would ring the same phone meet.
create table phones (
  phone e164 primary key,
  -- The latest local day on which it was called, and how often on it, emergencies excepted.
  day date not null,
  calls integer not null,
  -- The attempt that rings it, and when that is over at the latest; -infinity: none.
  attempt_id uuid,
  busy_until timestamptz not null
) with (fillfactor = 80);

-- How far the audience of a broadcast is planned; gone once it is.
create table preparations (
  broadcast_id uuid primary key references broadcasts on delete cascade,
  stage text not null default 'phones' check (stage in ('phones', 'rest')),
  -- The last phone (`phones`) or student (`rest`) that was planned.
  after text not null default '',
  -- Calls planned so far, by site: the rank of the next one goes on from there.
  places jsonb not null default '{}',
  chunk integer not null default 0
);

-- The order in which a student's phones are called, where they are called one after the other.
alter table call_recipients add column position smallint;
create index call_recipients_chain on call_recipients (student_id) where position is not null;

-- The lane of such calls. A new lane begins at the virtual time of its class: the furthest that any other got.
-- One of calls that avoid a trunk goes on where they came from.
create function lane_of(broadcast uuid, its_zone text, avoided uuid[]) returns bigint
language plpgsql as $$
declare
  lane bigint;
begin
  select id into lane from lanes where broadcast_id = broadcast and zone = its_zone and avoid_trunks = avoided;
  if lane is null then
    insert into lanes (broadcast_id, urgency, zone, avoid_trunks, shift, position)
    select broadcasts.id, broadcasts.urgency, its_zone, avoided,
      coalesce(origin.shift, (select max(same.shift + same.position) from lanes same
        where same.urgency = broadcasts.urgency), 0),
      coalesce(origin.position, 0)
    from broadcasts left join lanes origin
      on origin.broadcast_id = broadcasts.id and origin.zone = its_zone and origin.avoid_trunks = '{}'
    where broadcasts.id = broadcast
    on conflict do nothing
    returning lanes.id into lane;
  end if;
  if lane is null then
    select id into lane from lanes where broadcast_id = broadcast and zone = its_zone and avoid_trunks = avoided;
  end if;
  return lane;
end $$;

-- No open call without its lane: nobody would ever look at it.
create function put_in_lane() returns trigger language plpgsql as $$
begin
  new.lane_id := lane_of(new.broadcast_id, new.zone, new.avoid_trunks);
  return new;
end $$;
create trigger calls_new_lane before insert on calls for each row
  when (new.lane_id is null and new.state <> 'done') execute function put_in_lane();
create trigger calls_other_lane before update of avoid_trunks, zone on calls for each row
  when (new.avoid_trunks <> old.avoid_trunks or new.zone <> old.zone) execute function put_in_lane();

-- However a call of a chain ended, those that wait behind it are looked at again: see PROMOTE in store/queue.ts.
create function nudge_chain() returns trigger language plpgsql as $$
begin
  update calls set due_at = now()
  from (select distinct behind.call_id from call_recipients mine
    join call_recipients behind on behind.student_id = mine.student_id and behind.call_id <> mine.call_id
    where mine.call_id = new.id and mine.position is not null and behind.position is not null) behind
  where calls.id = behind.call_id and calls.broadcast_id = new.broadcast_id and calls.chain = 'held'
    and calls.state in ('planned', 'waiting');
  return null;
end $$;
create trigger calls_nudge_chain after update of state on calls for each row
  when (new.state = 'done' and old.state <> 'done' and new.chain is not null) execute function nudge_chain();

update calls set state = 'waiting' where state = 'ready' and due_at > now();
update calls set lane_id = lane_of(broadcast_id, zone, avoid_trunks) where state <> 'done';

create index calls_ready on calls (lane_id, rank) where state = 'ready';
-- Empty but for the pages that are being composed: it says at once that none is left.
create index calls_without_text on calls (broadcast_id, id) where state = 'planned' and prompt_hash is null;
drop index calls_planned;
create index calls_planned on calls (prompt_hash) where state = 'planned' and prompt_hash is not null;
create index calls_waiting on calls (due_at) where state = 'waiting';

-- The head of a queue is where the dead rows are. A claim steps over them, at about 100,000 per millisecond.
alter table calls set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 20000,
  autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);
