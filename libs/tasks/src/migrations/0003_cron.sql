-- The tick of each scheduled task that was the last one; whoever moves it enqueues the task, in the same transaction.
CREATE TABLE task_cron (
  name      text PRIMARY KEY,
  last_tick timestamptz NOT NULL
);
