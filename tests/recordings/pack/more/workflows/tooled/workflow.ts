import { workflow, z } from '@outputai/core';
import { tool } from '../../shared/steps/tools.js';
export default workflow( { name: 'more_shared', description: 'Calls a shared step', inputSchema: z.object( { v: z.string() } ), outputSchema: z.any(),
  fn: async input => ( { v: await tool( input.v ) } ) } );
