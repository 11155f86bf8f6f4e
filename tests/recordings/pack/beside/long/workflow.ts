import { workflow, z } from '@outputai/core';
import { workflowInfo } from '@temporalio/workflow';
import { quick } from './steps.js';
export default workflow( { name: 'more_long', description: 'Many steps at once, again and again', inputSchema: z.object( { rounds: z.number(), wide: z.number() } ), outputSchema: z.any(),
  fn: async ( input, context ) => { const seen: unknown[] = []; for ( let i = 0; i < input.rounds; i++ ) { await Promise.all( Array.from( { length: input.wide }, ( _, n ) => quick( n ) ) ); if ( ( i + 1 ) % 10 === 0 ) { seen.push( [ workflowInfo().continueAsNewSuggested, ( context.control as any ).isContinueAsNewSuggested?.() ] ); } } return seen; } } );
