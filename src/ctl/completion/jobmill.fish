# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What there is to complete the tool itself knows: src/ctl/complete.c says in which form.

function __jobmill_complete
    set -l words (commandline --cut-at-cursor --tokenize --current-process)
    set -l word (commandline --cut-at-cursor --current-token)
    set -q word[1]; or set word ''
    set -l lines (command $words[1] __complete -- $words[2..] $word 2>/dev/null)
    set -q lines[1]; or return
    set -l directive (string split \t -- $lines[1])

    switch $directive[1]
        case command
            # fish counts from 1, and its own word 1 is the program: the command is word N + 1.
            set -l command (string escape -- $words[(math $directive[2] + 1)..])
            complete --do-complete "$command $word"
            return
        case files
            set -l value (string sub --start (math 1 + (string length -- "$directive[2]")) -- $word)
            for path in (__fish_complete_path $value)
                echo $directive[2]$path
            end
        case directories
            set -l value (string sub --start (math 1 + (string length -- "$directive[2]")) -- $word)
            for path in (__fish_complete_directories $value)
                echo $directive[2]$path
            end
        case hosts
            __fish_print_hostnames
    end
    set -q lines[2]; and printf '%s\n' $lines[2..]
end

complete --command jobmill --no-files --keep-order --arguments '(__jobmill_complete)'
