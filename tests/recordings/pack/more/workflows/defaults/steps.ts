import { step, z } from '@outputai/core';
export const see = step( { name: 'see', description: 'Returns what it was given',
  inputSchema: z.object( { a: z.number().default( 5 ), word: z.string().optional() } ),
  outputSchema: z.object( { seen: z.any(), b: z.number().default( 9 ) } ),
  fn: async v => ( { seen: v, extra: 'not in the schema' } as unknown as { seen: unknown; b: number } ) } );
