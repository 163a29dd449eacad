-- Instances of sagas. `epoch` is raised by every change, and every change requires the one it was made from.
CREATE TABLE sagas (
  id               text PRIMARY KEY,
  name             text NOT NULL,
  version          integer NOT NULL,
  key              text,
  status           text NOT NULL CHECK (status IN ('running', 'compensating', 'done', 'undone', 'stuck')),
  direction        text NOT NULL CHECK (direction IN ('forward', 'back')),
  step             integer NOT NULL,
  pivot            integer NOT NULL,
  failures         integer NOT NULL DEFAULT 0,
  epoch            integer NOT NULL DEFAULT 1,
  input            jsonb NOT NULL,
  results          jsonb NOT NULL DEFAULT '{}',
  error            text,
  cancel_requested boolean NOT NULL DEFAULT false,
  deadline         timestamptz,
  task_id          text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX sagas_key ON sagas (name, key) WHERE key IS NOT NULL;
CREATE INDEX sagas_recent ON sagas (created_at DESC, id DESC);
CREATE INDEX sagas_open ON sagas (status, task_id) WHERE status IN ('running', 'compensating', 'stuck');
CREATE INDEX sagas_ended ON sagas (updated_at) WHERE status IN ('done', 'undone');

CREATE TABLE saga_journal (
  saga_id   text NOT NULL REFERENCES sagas (id) ON DELETE CASCADE,
  number    bigint GENERATED ALWAYS AS IDENTITY,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  event     text NOT NULL,
  step      text,
  direction text NOT NULL,
  attempt   integer NOT NULL,
  detail    text,
  PRIMARY KEY (saga_id, number)
);
