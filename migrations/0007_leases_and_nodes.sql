-- Who may place calls on which trunk, and by which Asterisk nodes.

alter table trunks
  -- What its owner last saw; see engine/domain/trunk-health.ts.
  add column breaker text not null default 'closed' check (breaker in ('closed', 'open', 'half_open')),
  add column health jsonb;

create table asterisk_nodes (
  name text primary key check (name ~ '^[A-Za-z0-9_-]{1,40}$'),
  -- `draining`: no new call; live ones go on.
  state text not null default 'active' check (state in ('active', 'draining')),
  created_at timestamptz not null default now()
);
