import { step, z, FatalError } from '@outputai/core';
export const make = step( { name: 'make', description: 'Makes a long text', inputSchema: z.number(), outputSchema: z.any(), fn: async n => 'x'.repeat( n ) } );
export const take = step( { name: 'take', description: 'Takes a text', inputSchema: z.string(), outputSchema: z.number(), fn: async v => v.length } );
export const fails = step( { name: 'fails', description: 'Fails with many words', inputSchema: z.number(), outputSchema: z.any(), fn: async n => { throw new FatalError( 'x'.repeat( n ) ); } } );
