import { evaluator, z, EvaluationNumberResult, EvaluationStringResult } from '@outputai/core';
export const score = evaluator( { name: 'score', description: 'Scores', inputSchema: z.any(), fn: async () => new EvaluationNumberResult( { value: 3, confidence: 0.5 } ) } );
