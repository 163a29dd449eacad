-- What a task is about, by the application's name for it. Tasks from before have none: their owner alone decides.
ALTER TABLE tasks ADD COLUMN scope text;
