import { workflow, z, FatalError } from '@outputai/core';
import { condition } from '@temporalio/workflow';
import { work } from './steps.js';
export default workflow( { name: 'more_child', description: 'A child', inputSchema: z.object( { mode: z.string() } ).optional(), outputSchema: z.any(),
  fn: async input => {
    if ( input?.mode === 'fatal' ) { throw new FatalError( 'the child broke' ); }
    if ( input?.mode === 'error' ) { throw new Error( 'the child failed' ); }
    if ( input?.mode === 'wait' ) { await condition( () => false ); }
    return { child: await work( input?.mode ), input };
  },
  options: { activityOptions: { startToCloseTimeout: '1m', retry: { initialInterval: '50ms', maximumAttempts: 2 } } } } );
