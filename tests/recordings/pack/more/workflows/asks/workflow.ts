import { workflow, z, sendPostRequestAndAwaitWebhook } from '@outputai/core';
export default workflow( { name: 'more_asks', description: 'Sends a request and waits for the answer to come by feedback', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => { const answer = await sendPostRequestAndAwaitWebhook( input ); return { answer, kind: typeof answer }; } } );
