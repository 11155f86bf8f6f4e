import { workflow, z, sendPostRequestAndAwaitWebhook, sleep } from '@outputai/core';
export default workflow( { name: 'more_insists', description: 'Asks again itself when its request fails', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => {
    const failed: string[] = [];
    for ( let n = 0; n < 3; n++ ) {
      try { return { failed, answer: await sendPostRequestAndAwaitWebhook( input ) }; } catch ( e: any ) { failed.push( e.cause?.message ?? e.message ); await sleep( 200 ); }
    }
    return { failed };
  } } );
