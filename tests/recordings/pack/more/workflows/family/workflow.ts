import { workflow, z } from '@outputai/core';
import child from './child/workflow.js';
import bare from './bare/workflow.js';
export default workflow( { name: 'more_family', description: 'A parent with options for the steps of its children', inputSchema: z.object( { mode: z.string(), options: z.boolean().optional() } ), outputSchema: z.any(),
  fn: async input => {
    if ( input.mode === 'bare' ) { return { got: await bare() }; }
    if ( input.mode === 'caught' ) { try { await child( { mode: 'step_fatal' } ); } catch ( e: any ) { return { name: e.name, message: e.message, cause: { name: e.cause?.name, message: e.cause?.message, type: e.cause?.type, cause: e.cause?.cause?.message } }; } }
    return { got: input.options ? await child( { mode: input.mode }, { activityOptions: { startToCloseTimeout: '3m' } } ) : await child( { mode: input.mode } ) };
  },
  options: { activityOptions: { startToCloseTimeout: '2m', retry: { initialInterval: '60ms', maximumAttempts: 4 } } } } );
