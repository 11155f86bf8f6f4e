import { workflow, z } from '@outputai/core';
import { see } from './steps.js';
export default workflow( {
  name: 'more_defaults', description: 'Schemas that change what they are given',
  inputSchema: z.object( { a: z.number().default( 5 ), word: z.string().transform( s => s.toUpperCase() ).optional(), n: z.coerce.number().optional() } ),
  outputSchema: z.object( { seen: z.any(), step: z.any(), c: z.number().default( 7 ) } ),
  fn: async input => ( { seen: input, step: await see( { word: 'w', more: 1 } as unknown as { a: number } ), extra: true } as unknown as { seen: unknown; step: unknown; c: number } )
} );
