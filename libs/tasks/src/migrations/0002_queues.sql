-- Queues that an operator has stopped; a queue without a row runs.
CREATE TABLE task_queues (
  queue     text PRIMARY KEY,
  paused_by text NOT NULL,
  paused_at timestamptz NOT NULL DEFAULT now()
);
-- Dead letters of a queue, newest first.
CREATE INDEX tasks_dead ON tasks (queue, completed_at DESC, id DESC) WHERE status = 'failed' AND NOT is_group;
