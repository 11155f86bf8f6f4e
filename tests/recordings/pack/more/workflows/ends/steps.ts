import { step, z } from '@outputai/core';
import { Context } from '@temporalio/activity';
export const end = step( { name: 'end', description: 'Ends its own workflow by way of the API', inputSchema: z.string(), outputSchema: z.any(),
  fn: async mode => {
    const { workflowId, runId } = Context.current().info.workflowExecution!;
    const url = `${process.env.API_URL}/workflow/${workflowId}/runs/${runId}`;
    const answer = await fetch( `${url}/${mode}`, { method: mode === 'stop' ? 'PATCH' : 'POST', headers: { 'Content-Type': 'application/json', ...( process.env.API_TOKEN ? { Authorization: `Basic ${process.env.API_TOKEN}` } : {} ) }, body: mode === 'terminate' ? '{"reason":"by itself"}' : undefined } );
    return answer.status;
  } } );
