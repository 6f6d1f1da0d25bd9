"""`anneal completion`: a script that teaches a shell, or kubectl, to complete our commands."""

import argparse

from anneal_cli.errors import OK
from anneal_cli.session import Session

HELP = "Print a completion script for bash, zsh, fish, or kubectl's plugin mechanism."
EPILOG = ("bash: source <(anneal completion bash). zsh: source <(anneal completion zsh). "
          "fish: anneal completion fish | source. "
          "kubectl: anneal completion kubectl > kubectl_complete-anneal, executable and on PATH.")

# Every script asks the program itself, so that completion never differs from what the parser takes.
BASH = """\
_anneal() {
  local IFS=$'\\n'
  COMPREPLY=($(anneal __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _anneal anneal
"""
ZSH = """\
#compdef anneal
_anneal() {
  local -a found
  found=("${(@f)$(anneal __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found
}
compdef _anneal anneal
"""
FISH = """\
complete -c anneal -f -a '(anneal __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
"""
# kubectl runs this file with the words after `kubectl anneal`; the last line means: no file names.
KUBECTL = """\
#!/bin/sh
kubectl-anneal __complete "$@" 2>/dev/null
echo :4
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH, "kubectl": KUBECTL}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("shell", choices=SCRIPTS)


def run(args: argparse.Namespace, session: Session) -> int:
    """Print the script."""
    session.out.file.write(SCRIPTS[args.shell])
    return OK
