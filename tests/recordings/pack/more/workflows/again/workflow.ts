import { workflow, z } from '@outputai/core';
import { condition, defineSignal, setHandler } from '@temporalio/workflow';
const go = defineSignal<[ unknown ]>( 'go' );
export default workflow( { name: 'more_again', description: 'Continues as new when told', inputSchema: z.object( { n: z.number(), last: z.number() } ), outputSchema: z.any(),
  fn: async ( input, context ) => { let told = false; setHandler( go, () => { told = true; } ); await condition( () => told ); return input.n < input.last ? context.control.continueAsNew( { n: input.n + 1, last: input.last } ) : { n: input.n, info: context.info }; } } );
