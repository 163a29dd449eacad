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
  /** Of a failed run. */
  error?: string;
}

/** Published when this process has recovered tasks of dead workers. */
export interface TasksRecoveredEvent {
  count: number;
}

/** Channels of `node:diagnostics_channel`, for tracing. Nothing is published without a subscriber. */
export const TASK_CHANNELS = {
  /** {@link TaskStartEvent} */
  start: channel('yuxi:tasks:start'),
  /** {@link TaskEndEvent} */
  end: channel('yuxi:tasks:end'),
  /** {@link TasksRecoveredEvent} */
  recovered: channel('yuxi:tasks:recovered'),
};
