# bash completion for jobmill(1)                                                   -*- shell-script -*-
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What there is to complete the tool itself knows: src/ctl/complete.c says in which form. Needs bash-completion.

_jobmill()
{
    local cur words cword lines directive argument value i j text
    _get_comp_words_by_ref -n '=:@' cur words cword || return

    mapfile -t lines < <("$1" __complete -- "${words[@]:1:cword-1}" "$cur" 2>/dev/null)
    IFS=$'\t' read -r directive argument <<<"${lines[0]-}"
    if [[ $directive == command ]]; then
        # Number of the word as bash counts, which splits at "=" and ":".
        for ((i = 0, j = 0; j < argument; j++)); do
            text=
            while [[ $text != "${words[j]}" ]] && ((i < ${#COMP_WORDS[@]})); do
                text+=${COMP_WORDS[i++]}
            done
        done
        _command_offset "$i"
        return
    fi

    value=${cur#"$argument"}
    case $directive in
        files) cur=$value _filedir ;;
        directories) cur=$value _filedir -d ;;
        hosts) _known_hosts_real -a -- "$value" ;;
    esac
    COMPREPLY=("${COMPREPLY[@]/#/$argument}")
    for text in "${lines[@]:1}"; do
        text=${text%%$'\t'*}
        COMPREPLY+=("$text")
    done

    # What stands before the last break of the word is not replaced.
    text=${cur%"${cur##*[=:]}"}
    ((${#text} == 0)) || COMPREPLY=("${COMPREPLY[@]#"$text"}")
    [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *[=.] ]] || compopt -o nospace
} &&
    complete -F _jobmill jobmill
