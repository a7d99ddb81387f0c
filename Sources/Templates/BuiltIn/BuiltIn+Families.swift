extension BuiltIn {
    /// Llama 3: headers, contents trimmed as Meta's template does.
    static let llama3 = #"""
        {{- bos_token or '<|begin_of_text|>' }}
        {%- for message in messages %}
            {%- set role = 'ipython' if message.role == 'tool' else message.role %}
            {{- '<|start_header_id|>' + role + '<|end_header_id|>\n\n' }}
            {%- if message.role == 'assistant' %}
                {%- generation %}{{ (message.content | trim) + '<|eot_id|>' }}{% endgeneration %}
            {%- else %}
                {{- (message.content | trim) + '<|eot_id|>' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}
        """#

    /// ERNIE 4.5.
    static let ernie45 = #"""
        {{- '<|begin_of_sentence|>' }}
        {%- for message in messages %}
            {%- if message.role == 'user' %}
                {{- 'User: ' + message.content + '\n' }}
            {%- elif message.role == 'assistant' %}
                {{- 'Assistant: ' }}
                {%- generation %}{{ message.content + '<|end_of_sentence|>' }}{% endgeneration %}
            {%- elif message.role == 'system' %}
                {{- message.content + '\n' }}
            {%- else %}
                {{- raise_exception('the built-in template ernie4_5 has no role ' + message.role) }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- 'Assistant: ' }}{% endif %}
        """#

    /// GLM-4. It has no end-of-turn token: the head of the next turn ends an answer, so that head is trained with it.
    static let glm4 = #"""
        {{- '[gMASK]<sop>' }}
        {%- for message in messages %}
            {%- if message.role == 'assistant' %}
                {{- '<|assistant|>' }}
                {%- generation %}
                    {{- '\n' + message.content }}
                    {%- if loop.last or loop.nextitem.role == 'user' %}
                        {{- '<|user|>' }}
                    {%- elif loop.nextitem.role == 'tool' %}
                        {{- '<|observation|>' }}
                    {%- endif %}
                {%- endgeneration %}
            {%- elif message.role == 'tool' %}
                {{- '' if not loop.first and loop.previtem.role == 'assistant' else '<|observation|>' }}
                {{- '\n' + message.content }}
            {%- elif message.role == 'user' %}
                {{- '' if not loop.first and loop.previtem.role == 'assistant' else '<|user|>' }}
                {{- '\n' + message.content }}
            {%- else %}
                {{- '<|system|>\n' + message.content }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}
        """#

    /// Hunyuan 7B and A13B. (The small dense ones have other marks; use the checkpoint's own template for them.)
    static let hunyuan = #"""
        {%- for message in messages %}
            {%- if message.role == 'system' %}
                {{- '<|startoftext|>' + message.content + '<|extra_4|>' }}
            {%- elif message.role == 'user' %}
                {%- if loop.first or loop.previtem.role != 'system' %}{{- '<|startoftext|>' }}{% endif %}
                {{- message.content + '<|extra_0|>' }}
            {%- elif message.role == 'assistant' %}
                {%- generation %}{{ message.content + '<|eos|>' }}{% endgeneration %}
            {%- else %}
                {{- raise_exception('the built-in template hunyuan has no role ' + message.role) }}
            {%- endif %}
        {%- endfor %}
        """#

    /// openPangu-Embedded.
    static let openpangu = #"""
        {%- set heads = {'system': '系统：', 'user': '用户：', 'assistant': '助手：', 'tool': '工具：'} %}
        {%- if not messages or messages[0].role != 'system' %}{{- '[unused9]系统：[unused10]' }}{% endif %}
        {%- for message in messages %}
            {%- if message.role not in heads %}
                {{- raise_exception('the built-in template openpangu has no role ' + message.role) }}
            {%- endif %}
            {{- '[unused9]' + heads[message.role] }}
            {%- if message.role == 'assistant' %}
                {%- generation %}{{ message.content + '[unused10]' }}{% endgeneration %}
            {%- else %}
                {{- message.content + '[unused10]' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '[unused9]助手：' }}{% endif %}
        """#

    /// Yuan 2.
    static let yuan = #"""
        {%- for message in messages %}
            {%- if message.role == 'assistant' %}
                {%- generation %}{{ message.content + '<eod>' }}{% endgeneration %}
            {%- elif message.role == 'user' %}
                {{- message.content + '<sep>' }}
            {%- else %}
                {{- message.content + '\n' }}
            {%- endif %}
        {%- endfor %}
        """#

    /// Stanford Alpaca, for base models: headings instead of special tokens.
    static let alpaca = #"""
        {%- if messages and messages[0].role == 'system' %}
            {{- messages[0].content + '\n\n' }}
        {%- else %}
            {{- 'Below is an instruction that describes a task. ' }}
            {{- 'Write a response that appropriately completes the request.\n\n' }}
        {%- endif %}
        {%- for message in messages %}
            {%- if message.role == 'user' %}
                {{- '### Instruction:\n' + message.content + '\n\n' }}
            {%- elif message.role == 'assistant' %}
                {{- '### Response:\n' }}
                {%- generation %}{{ message.content }}{{ eos_token or '' }}{% endgeneration %}
                {{- '' if loop.last else '\n\n' }}
            {%- elif not (loop.first and message.role == 'system') %}
                {{- raise_exception('the built-in template alpaca has no role ' + message.role + ' here') }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '### Response:\n' }}{% endif %}
        """#

    /// Contents alone, a line feed between them.
    static let plain = #"""
        {%- for message in messages %}
            {%- if message.role == 'assistant' %}
                {%- generation %}{{ message.content }}{{ eos_token or '' }}{% endgeneration %}
                {{- '' if loop.last else '\n' }}
            {%- else %}
                {{- message.content + '\n' }}
            {%- endif %}
        {%- endfor %}
        """#
}
