-- Tasks as the user sees them. A group is a row without a handler: its state is counted over its members.

CREATE TABLE tasks (
  id               text PRIMARY KEY,
  group_id         text REFERENCES tasks (id) ON DELETE CASCADE,
  is_group         boolean NOT NULL DEFAULT false,
  name             text NOT NULL,
  version          integer NOT NULL DEFAULT 1,
  title            text NOT NULL DEFAULT '',
  queue            text NOT NULL DEFAULT 'default',
  status           text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'success', 'failed', 'cancelled')),
  payload          jsonb NOT NULL DEFAULT '{}',
  result           jsonb,
  error            text,
  progress         real NOT NULL DEFAULT 0,
  message          text NOT NULL DEFAULT '',
  priority         smallint NOT NULL DEFAULT 0,
  run              integer NOT NULL DEFAULT 0,    -- times claimed, only ever raised; whatever a worker writes requires its own
  attempt          integer NOT NULL DEFAULT 0,    -- runs that count towards max_attempts
  max_attempts     integer NOT NULL DEFAULT 3,
  run_at           timestamptz NOT NULL DEFAULT now(),
  worker           text,
  lease_until      timestamptz,
  cancel_requested boolean NOT NULL DEFAULT false,
  owner_id         text,
  dedupe_key       text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  started_at       timestamptz,
  completed_at     timestamptz
);
CREATE INDEX tasks_ready ON tasks (priority DESC, run_at, id) WHERE status = 'pending' AND NOT is_group;
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE status = 'running' AND NOT is_group;
CREATE INDEX tasks_group ON tasks (group_id, status) WHERE group_id IS NOT NULL;
CREATE INDEX tasks_open_groups ON tasks (id) WHERE is_group AND status = 'pending';
CREATE INDEX tasks_recent ON tasks (created_at DESC, id DESC) WHERE group_id IS NULL;
CREATE INDEX tasks_finished ON tasks (completed_at) WHERE completed_at IS NOT NULL;
CREATE UNIQUE INDEX tasks_dedupe ON tasks (name, dedupe_key) WHERE dedupe_key IS NOT NULL AND status IN ('pending', 'running');
