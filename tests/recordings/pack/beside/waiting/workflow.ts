import { workflow, z } from '@outputai/core';
import { condition, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import { quick, slow } from './steps.js';
const go = defineSignal( 'go' ), wait = defineUpdate<unknown, [ unknown ]>( 'wait' );
export default workflow( { name: 'more_waiting', description: 'Steps, then a wait; updates that wait', inputSchema: z.any(), outputSchema: z.any(),
  fn: async input => { let told = false; setHandler( go, () => { told = true; } ); setHandler( wait, async () => { await condition( () => told ); return 'waited'; } ); const a = await quick( 'a' ); const b = await quick( 'b' ); await condition( () => told ); return { a, b, input }; } } );
