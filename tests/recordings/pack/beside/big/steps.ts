import { step, z } from '@outputai/core';
export const make = step( { name: 'make', description: 'Makes a long text', inputSchema: z.number(), outputSchema: z.string(), fn: async n => 'x'.repeat( n ) } );
export const take = step( { name: 'take', description: 'Takes a text', inputSchema: z.string(), outputSchema: z.number(), fn: async v => v.length } );
