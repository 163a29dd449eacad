-- The task whose run took the last claim: when that run is dead, the next run of the same task goes on at once.

ALTER TABLE files ADD COLUMN claimed_by text;
