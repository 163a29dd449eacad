-- Effects that were taken back, or that may never happen any more.
ALTER TABLE task_effects ADD COLUMN revoked boolean NOT NULL DEFAULT false;
