-- What was done once; in the same transaction as the effect itself.
CREATE TABLE task_effects (
  key     text PRIMARY KEY,
  result  jsonb,
  done_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX task_effects_done_at ON task_effects (done_at);
