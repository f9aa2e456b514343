// What the dashboard is held to beyond its types.
import js from '@eslint/js';
import globals from 'globals';

export default [
  js.configs.recommended,
  {
    files: ['**/*.js'],
    languageOptions: {
      ecmaVersion: 2023,
      sourceType: 'module',
      globals: { ...globals.browser, uPlot: 'readonly' },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'text stays text: use make and write' },
        { property: 'outerHTML', message: 'text stays text: use make and write' },
        { property: 'insertAdjacentHTML', message: 'text stays text: use make and write' },
      ],
      'no-restricted-globals': ['error', { name: 'parseFloat', message: 'prices are text; see decimal.js' }],
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-new-func': 'error',
      'no-console': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: 'error',
      curly: ['error', 'multi-line'],
      'no-param-reassign': 'off',
      'max-lines': ['error', 500],
    },
  },
  { files: ['**/theme.js'], languageOptions: { sourceType: 'script' } },
];
