import { workflow, z } from '@outputai/core';
import { condition } from '@temporalio/workflow';
import { end } from './steps.js';
export default workflow( { name: 'more_ends', description: 'Is stopped or terminated while somebody waits in /workflow/run', inputSchema: z.object( { how: z.string() } ), outputSchema: z.any(),
  fn: async input => { if ( input.how !== 'wait' ) { await end( input.how ); } await condition( () => false ); return {}; } } );
