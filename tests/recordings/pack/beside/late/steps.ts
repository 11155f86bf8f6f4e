import { step, z } from '@outputai/core';
export const quick = step( { name: 'quick', description: 'Quick', inputSchema: z.any(), outputSchema: z.any(), fn: async v => v } );
export const broken = step( { name: 'broken', description: 'Fails', inputSchema: z.any(), outputSchema: z.any(), fn: async () => { throw new Error( 'broken' ); } } );
export const slow = step( { name: 'slow', description: 'Takes its time', inputSchema: z.number(), outputSchema: z.any(), fn: async ms => { await new Promise( r => setTimeout( r, ms ) ); return ms; } } );
