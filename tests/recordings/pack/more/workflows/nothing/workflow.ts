import { workflow, z } from '@outputai/core';
import { silent, empty } from './steps.js';
import { score } from './evaluators.js';
export default workflow( { name: 'more_nothing', description: 'No schemas, no input, no output', fn: async ( input: any ) => {
  await silent();
  if ( input?.mode === 'null' ) { return empty(); }
  if ( input?.mode === 'zero' ) { return 0; }
  if ( input?.mode === 'false' ) { return false; }
  if ( input?.mode === 'text' ) { return ''; }
  if ( input?.mode === 'score' ) { return score( null ); }
} } );
