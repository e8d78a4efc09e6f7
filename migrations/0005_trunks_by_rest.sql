-- Trunks are described here and brought to Asterisk by the engine; caller IDs are proven to be the district's.

create table caller_ids (
  phone e164 primary key,
  -- How it is known to be the district's: a letter of authorisation, the carrier's list, a test call.
  proof text not null check (length(proof) between 1 and 500),
  proven_at timestamptz not null default now(),
  -- Name of the API key
  created_by text not null
);

insert into caller_ids (phone, proof, created_by)
select distinct caller_id, 'In use before proofs were asked for: replace this by one', 'an upgrade of Rollcall'
from (select caller_id from sites union all select caller_id from trunks) as used
where caller_id is not null;

alter table sites add constraint sites_caller_id_proven foreign key (caller_id) references caller_ids;
alter table trunks add constraint trunks_caller_id_proven foreign key (caller_id) references caller_ids;

alter table trunks
  -- Host name, SRV name or IPv4 address
  add host text check (host ~ '^[A-Za-z0-9_.-]{1,253}$'),
  -- null: by SRV, and if there is none the protocol's own
  add port integer check (port between 1 and 65535),
  add transport text not null default 'udp' check (transport in ('udp', 'tcp', 'tls')),
  add auth text not null default 'ip' check (auth in ('ip', 'digest', 'registration')),
  add username text check (username ~ '^[A-Za-z0-9._~+-]{1,64}$'),
  -- AES-256-GCM under SECRET_KEY: see engine/secrets.ts
  add secret bytea,
  add from_domain text check (from_domain ~ '^[A-Za-z0-9.-]{1,253}$'),
  add codecs text[] not null default '{ulaw,alaw}'
    check (codecs <@ '{ulaw,alaw,g722}' and cardinality(codecs) between 1 and 3),
  add number_prefix text check (number_prefix ~ '^[0-9]{1,8}$'),
  -- null: the district's own country
  add allowed_prefixes text[] check (cardinality(allowed_prefixes) between 1 and 100),
  -- Lower first; among equals in proportion to the weight.
  add priority smallint not null default 1 check (priority between 1 and 100),
  add weight smallint not null default 1 check (weight between 1 and 1000),
  -- Seconds between OPTIONS; 0: none
  add qualify_seconds smallint not null default 30 check (qualify_seconds between 0 and 3600),
  -- Grows with each change that Asterisk must learn.
  add revision integer not null default 1,
  -- The ledger goes on naming a trunk that was removed.
  add removed_at timestamptz,
  drop constraint trunks_number_format_check,
  add constraint trunks_number_format_check check (number_format in ('e164', 'plain', 'national', 'prefix')),
  add constraint trunks_number_prefix_used check ((number_format = 'prefix') = (number_prefix is not null)),
  drop constraint trunks_state_check,
  -- draining: no new call; becomes `paused` when the last one has ended
  add constraint trunks_state_check check (state in ('active', 'paused', 'draining', 'refused')),
  drop constraint trunks_name_key;

-- Until now the carrier's address stood in a file of Asterisk's.
update trunks set
  host = endpoint, state = 'paused',
  state_reason = 'trunk files are gone: set host and port, and for an account auth, username and secret, then resume';

alter table trunks alter host set not null, drop endpoint;
create unique index trunks_name_key on trunks (name) where removed_at is null;
