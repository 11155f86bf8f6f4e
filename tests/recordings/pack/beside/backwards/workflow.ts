import { workflow, z } from '@outputai/core';
import { quick } from './steps.js';
export default workflow( { name: 'more_backwards', description: 'maximumInterval below the first interval', inputSchema: z.any(), outputSchema: z.any(), fn: async input => quick( input ),
  options: { activityOptions: { retry: { maximumInterval: '5s' } } } } );
