#!/bin/sh
# Starts what its own name asks for, with the project's interpreter:
#   pulumi-language-python          the language host
#   pulumi-resource-pulumi-python   the server of a program's dynamic providers
# The engine starts both in the project's folder or below it.
set -eu

# Prints the nearest folder, from the current one upward, that has the path; fails where none has it.
nearest() {
    dir=$PWD
    while [ ! -e "$dir/$1" ]; do
        [ "$dir" != / ] || return 1
        dir=$(dirname "$dir")
    done
    echo "$dir"
}

# Prints the interpreter of the virtual environment that Pulumi.yaml names.
in_environment() {
    case $1 in
        /*) echo "$1/bin/python" ;;
        *) folder=$(nearest "$1/bin/python") && echo "$folder/$1/bin/python" ;;
    esac
}

case ${0##*/} in
    pulumi-language-python)
        python=${PULUMI_PYTHON_CMD:-$(in_environment .venv 2>/dev/null || echo python3)}
        exec "$python" -u "$(dirname "$0")/../lib" "$@"
        ;;
    pulumi-resource-pulumi-python)
        if [ -n "${PULUMI_RUNTIME_VIRTUALENV:-}" ]; then
            python=$(in_environment "$PULUMI_RUNTIME_VIRTUALENV") || {
                echo "There is no virtual environment $PULUMI_RUNTIME_VIRTUALENV; run \`pulumi install\`." >&2
                exit 1
            }
        else
            python=${PULUMI_PYTHON_CMD:-python3}
        fi
        # A provider is stored with its resource as a reference to its class, so the class must be importable: the
        # program's folder is the current one, and a program may import from its project's folder too.
        if root=$(nearest Pulumi.yaml); then
            PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
            export PYTHONPATH
        fi
        exec "$python" -u -m pulumi.dynamic "$@"
        ;;
    *)
        echo "$0 must be called pulumi-language-python or pulumi-resource-pulumi-python." >&2
        exit 2
        ;;
esac
