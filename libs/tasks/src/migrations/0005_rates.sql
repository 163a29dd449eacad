-- Queues with a limit over all workers; whoever claims from one holds its row. full_at: when the allowance is whole again.
CREATE TABLE task_rates (
  queue   text PRIMARY KEY,
  full_at timestamptz NOT NULL DEFAULT 'epoch'
);
