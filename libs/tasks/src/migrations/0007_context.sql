-- Request id and trace context of whoever enqueued the task, packed.
ALTER TABLE tasks ADD COLUMN context text;
