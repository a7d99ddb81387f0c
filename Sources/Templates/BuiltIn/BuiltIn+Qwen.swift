extension BuiltIn {
    /// ChatML as it is, for models that have its two tokens or learn them.
    static let chatml = #"""
        {%- for message in messages %}
            {{- '<|im_start|>' + message.role + '\n' }}
            {%- if message.role == 'assistant' %}
                {%- generation %}{{ message.content + '<|im_end|>\n' }}{% endgeneration %}
            {%- else %}
                {{- message.content + '<|im_end|>\n' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}
        """#

    /// Qwen2 and Qwen2.5: ChatML, a default system text, tools as JSON lines, calls and responses in XML-like tags.
    static let qwen25 = #"""
        {%- macro tool_section() %}
            {{- '\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' }}
            {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' }}
            {%- for tool in tools %}{{- '\n' + (tool | tojson) }}{% endfor %}
            {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within ' }}
            {{- '<tool_call></tool_call> XML tags:\n<tool_call>\n' }}
            {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>' }}
        {%- endmacro %}
        {%- set has_system = messages and messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' }}
        {%- if has_system %}
            {{- messages[0].content }}
        {%- else %}
            {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
        {%- endif %}
        {%- if tools %}{{- tool_section() }}{% endif %}
        {{- '<|im_end|>\n' }}
        {%- for message in messages %}
            {%- if loop.first and has_system %}
                {%- continue %}
            {%- elif message.role == 'assistant' %}
                {{- '<|im_start|>assistant\n' }}
                {%- generation %}
                    {{- message.content or '' }}
                    {%- for call in message.tool_calls or [] %}
                        {%- set call = call.function or call %}
                        {{- '\n' if message.content or not loop.first }}
                        {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
                        {{- (call.arguments | tojson) + '}\n</tool_call>' }}
                    {%- endfor %}
                    {{- '<|im_end|>\n' }}
                {%- endgeneration %}
            {%- elif message.role == 'tool' %}
                {%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
                {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
                {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\n' }}{% endif %}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}
        """#

    /// Qwen3: as Qwen2.5 without the default system text; every answer has its thinking in front, empty when there is
    /// none. (The checkpoint's own template leaves out earlier thinking, which can't be trained on turn by turn.)
    static let qwen3 = #"""
        {%- macro tool_section() %}
            {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\n' }}
            {{- 'You are provided with function signatures within <tools></tools> XML tags:\n<tools>' }}
            {%- for tool in tools %}{{- '\n' + (tool | tojson) }}{% endfor %}
            {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within ' }}
            {{- '<tool_call></tool_call> XML tags:\n<tool_call>\n' }}
            {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>' }}
        {%- endmacro %}
        {%- set has_system = messages and messages[0].role == 'system' %}
        {%- if has_system or tools %}
            {{- '<|im_start|>system\n' }}
            {%- if has_system %}{{- messages[0].content }}{% endif %}
            {%- if tools %}{{- ('\n\n' if has_system else '') + tool_section() }}{% endif %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
        {%- for message in messages %}
            {%- if loop.first and has_system %}
                {%- continue %}
            {%- elif message.role == 'assistant' %}
                {%- set content = message.content or '' %}
                {%- set thinking = '' %}
                {%- if message.reasoning_content is string %}
                    {%- set thinking = message.reasoning_content %}
                {%- elif '</think>' in content %}
                    {%- set thinking = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                    {%- set content = content.split('</think>')[-1].lstrip('\n') %}
                {%- endif %}
                {{- '<|im_start|>assistant\n' }}
                {%- generation %}
                    {{- '<think>\n' + thinking.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
                    {%- for call in message.tool_calls or [] %}
                        {%- set call = call.function or call %}
                        {{- '\n' if content or not loop.first }}
                        {{- '<tool_call>\n{"name": "' + call.name + '", "arguments": ' }}
                        {{- call.arguments if call.arguments is string else call.arguments | tojson }}
                        {{- '}\n</tool_call>' }}
                    {%- endfor %}
                    {{- '<|im_end|>\n' }}
                {%- endgeneration %}
            {%- elif message.role == 'tool' %}
                {%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
                {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
                {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\n' }}{% endif %}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}
            {{- '<|im_start|>assistant\n' }}
            {%- if enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{% endif %}
        {%- endif %}
        """#
}
