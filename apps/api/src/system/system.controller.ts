import { Controller, Get } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { Public } from '../auth/index.js';
import { VERSION } from './version.js';

@ApiTags('system')
@Controller('api/system')
export class SystemController {
  @Public()
  @Get('health')
  @ApiOperation({ summary: 'Whether the API answers; the probes under /health say more' })
  health() {
    return { status: 'ok', message: '服务正常运行', version: VERSION };
  }
}
