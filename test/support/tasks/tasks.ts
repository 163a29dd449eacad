import { type ApiClient, eventually } from '@yuxi/testing';

export interface TaskView {
  id: string;
  status: string;
  progress: number;
  message: string;
  error: string | null;
}

/** Waits until every task has ended. One replica is asked for all of them. */
export async function tasksEnded(
  client: ApiClient,
  token: string,
  ids: readonly string[],
  timeout: number,
): Promise<TaskView[]> {
  const ended: TaskView[] = [];
  for (const id of ids) {
    const task = await eventually(
      async () => {
        const { status, body } = await client.get<{ task: TaskView }>(`/api/tasks/${id}`, { token });
        if (status !== 200) throw new Error(`task ${id} answered ${status}`);
        return ['success', 'failed', 'cancelled'].includes(body.task.status) && body.task;
      },
      { timeout, every: 50, describe: `task ${id} to end` },
    );
    if (task) ended.push(task);
  }
  return ended;
}
