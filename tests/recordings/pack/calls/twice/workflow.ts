import { workflow, z, sendPostRequestAndAwaitWebhook } from '@outputai/core';
export default workflow( { name: 'calls_twice', description: 'Asks two questions, one after the other or both at once', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => {
    if ( input.together ) { return { answers: await Promise.all( [ sendPostRequestAndAwaitWebhook( input.first ), sendPostRequestAndAwaitWebhook( input.second ) ] ) }; }
    const first = await sendPostRequestAndAwaitWebhook( input.first );
    return { answers: [ first, await sendPostRequestAndAwaitWebhook( input.second ) ] };
  } } );
