"""Words to tasks: command parser, lexicon, instruction templates, token vocabulary and codec. No torch."""
