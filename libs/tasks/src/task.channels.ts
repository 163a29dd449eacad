import { channel } from 'node:diagnostics_channel';

/** Published when a handler begins. */
export interface TaskStartEvent {
  id: string;
  name: string;
  attempt: number;
}

/** Published when a handler has ended. */
export interface TaskEndEvent extends TaskStartEvent {
  /** As in `yuxi_tasks_total`: success, failed, cancelled, retried, put_back or lost. */
  result: string;
  /** Milliseconds. */
  took: number;
  /** Of a run that failed. */
  error?: string;
}

/** Published when this process took back tasks of workers that had died. */
export interface TasksRecoveredEvent {
  count: number;
}

/** Channels of `node:diagnostics_channel`, for tracing. Publishing costs nothing while nobody subscribes. */
export const TASK_CHANNELS = {
  /** {@link TaskStartEvent} */
  start: channel('yuxi:tasks:start'),
  /** {@link TaskEndEvent} */
  end: channel('yuxi:tasks:end'),
  /** {@link TasksRecoveredEvent} */
  recovered: channel('yuxi:tasks:recovered'),
};
