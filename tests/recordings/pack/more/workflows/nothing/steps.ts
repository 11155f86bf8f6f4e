import { step, z } from '@outputai/core';
export const silent = step( { name: 'silent', description: 'Takes and gives nothing', fn: async () => {} } );
export const empty = step( { name: 'empty', description: 'Gives null', outputSchema: z.null(), fn: async () => null } );
