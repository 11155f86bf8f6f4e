import { workflow, z, sleep } from '@outputai/core';
import { CancellationScope } from '@temporalio/workflow';
import { broken, quick } from './steps.js';
export default workflow( { name: 'more_backoff', description: 'A step that waits for its next try is cancelled, and the run goes on', inputSchema: z.any(), outputSchema: z.any(),
  fn: async () => {
    let told = 'nothing';
    const scope = new CancellationScope();
    const under = scope.run( async () => broken( 1 ) ).catch( ( e: any ) => { told = `${e.name}: ${e.message}`; } );
    await sleep( 1000 ); scope.cancel(); await under; await quick( 2 );
    return { told };
  },
  options: { activityOptions: { retry: { initialInterval: '30s', maximumInterval: '60s', maximumAttempts: 3 } } } } );
